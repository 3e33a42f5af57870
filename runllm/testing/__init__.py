"""Rehearse a conversation in memory: your own handlers, a scripted model, platforms that remember.

A rehearsal is as strict as the engine about what a handler may ask for. It knows nothing of sandboxes, restarts and
replays: for these there is the engine.

Example:
    ```python
    with Rehearsal(answer_questions) as talk:
        talk.will_answer("Use `--force`.", category=AnswerCategory.LOW_CONFIDENCE)
        talk.say("How do I delete it?")
        assert talk.texts() == ["Use `--force`."]
    ```
"""

from runllm.testing.backstage import NotScripted, Sent, Ticket
from runllm.testing.rehearsal import Rehearsal

__all__ = ["NotScripted", "Rehearsal", "Sent", "Ticket"]
