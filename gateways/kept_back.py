"""What is to be said of a source of which a sync found so little that nothing was forgotten."""

from store.models import KnowledgeSource


def needs_a_look(source: KnowledgeSource) -> str | None:
    """What is so and what to do; None where nothing is odd."""
    if not source.kept_back:
        return None
    return (
        f"{source.kept_back} documents, more than half of them, were not found at the last sync. They are kept, and "
        "answers still come from them. If the source was away or asked for a sign-in, the next sync puts it right. If "
        f"they are really gone: runllm docs sync {source.id} --accept-removals"
    )
