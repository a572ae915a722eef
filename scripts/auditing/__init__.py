"""The log of the seats in; every broken promise out."""
