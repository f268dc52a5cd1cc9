"""The demo site: what is on it, how it is built and served, and the headless notebook runner."""
