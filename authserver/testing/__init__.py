"""For tests, of authserver and of whoever builds on it.

Stand-ins for the providers' servers, on loopback; the kit with which the author of a provider tests it.
"""
