"""Large networks: a launch for each product."""
