"""Slack, Zendesk and Discord on a port of this machine, each as strict as the platform that it plays.

They speak the platforms' own protocols over HTTP and WebSockets, so that an engine cannot tell them from the real ones.
Tests talk through `RunningEngine.slack`, `zendesk` and `discord`; these here are what stands behind.
"""
