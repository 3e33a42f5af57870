"""Messages are equal by what they say, whatever the record holds."""

import pytest

from runllm import AssistantChatMessage, UserChatMessage
from runllm.bridge.messages import recorded


def test_what_the_record_holds_is_no_part_of_a_message() -> None:
    said = UserChatMessage(text="hi", chat_id=1)
    assert recorded(said.model_copy()) == said
    answer = AssistantChatMessage(text="hello", chat_id=2)
    assert recorded(answer.model_copy()) == answer


def test_a_field_that_differs_makes_another_message() -> None:
    said = UserChatMessage(text="hi", chat_id=1)
    assert said != UserChatMessage(text="hi", chat_id=2)
    assert said != UserChatMessage(text="hi", chat_id=1, author_name="Ada")


def test_a_person_and_the_agent_never_say_the_same() -> None:
    assert UserChatMessage(text="hi", chat_id=1) != AssistantChatMessage(text="hi", chat_id=1)
    assert UserChatMessage(text="hi") != "hi"


def test_messages_can_change_and_are_no_keys() -> None:
    with pytest.raises(TypeError, match="unhashable type: 'UserChatMessage'"):
        hash(UserChatMessage(text="hi"))
