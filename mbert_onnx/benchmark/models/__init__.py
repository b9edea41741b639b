"""The models that `bench` accepts: one registry of prefixes, and the builders behind them."""
