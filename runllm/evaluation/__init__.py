"""Labelled questions and past conversations, run through a workflow without sending anything, and what came of them."""
