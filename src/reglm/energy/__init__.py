"""Models by an energy: restricted Boltzmann machines and what is built of them.

`visible` holds the kinds of visible units, `free_energy` the formula everything follows from, `enumeration` exact
results for small machines.
"""
