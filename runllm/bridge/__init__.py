"""The nouns of a support conversation: surfaces, listeners, triggers, messages, buttons."""
