"""Models by an energy: restricted Boltzmann machines and what is built of them.

`visible` holds the kinds of visible units, `free_energy` the formula everything follows from, `enumeration` exact
results for small machines and `annealing` estimates of log Z for large ones. `gibbs` sweeps, `training` climbs the
likelihood (`tempering` with chains at several temperatures), `running` and `monitoring` look after it, and
`conditional` fills rows in.
"""
