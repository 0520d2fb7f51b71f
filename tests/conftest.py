"""What every test folder may use."""

pytest_plugins = ["support.lab"]
