"""Bettering what serves: when to retrain, how, whether the result may serve, which version does."""
