"""State-space models: recurrent networks, hidden Markov models and linear-Gaussian models, as pure functions."""
