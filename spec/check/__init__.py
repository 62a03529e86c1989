"""A second implementation of the TorqueSocket protocol's bytes, written from PROTOCOL.md alone.

It explains datagrams, checks the golden vectors and is meant to be read by whoever ports the protocol.
Nothing here is fast or constant-time: do not use it to protect anything.
"""
