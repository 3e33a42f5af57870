"""Everything the engine raises on purpose.

RunLLMError
├── UsageError            a mistake in the code that calls us: change the code
├── PublishError          a workflow cannot be published; the text lists what to change
├── ServerError           the engine's API refused or could not be reached
├── StepError             the function given to `Agent.step` kept failing
├── SurfaceError          a platform did not take what we sent
│   ├── NotConnected      no credentials for that platform yet
│   ├── RateLimited       too many calls; `retry_after` seconds until the next
│   ├── Unavailable       the platform cannot answer now; trying again may help
│   └── Rejected          the platform refused for good; trying again will not help
└── ModelError            the model could not answer
"""


class RunLLMError(Exception):
    """The root of all errors that the engine raises on purpose."""


class UsageError(RunLLMError):
    """A mistake in the code that calls the engine."""


class PublishError(RunLLMError):
    """A workflow cannot be published; the text says what to change."""


class ServerError(RunLLMError):
    """The engine's API refused a request, or could not be reached."""


class StepError(RunLLMError):
    """The function given to `Agent.step` failed on every attempt."""


class SurfaceError(RunLLMError):
    """A platform did not take what was sent to it."""


class NotConnected(SurfaceError):
    """The engine has no credentials for that platform yet."""


class RateLimited(SurfaceError):
    """The platform wants fewer calls.

    Attributes:
        retry_after: Seconds to wait before the next call.
    """

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(SurfaceError):
    """The platform cannot answer now; the same call may succeed later."""


class Rejected(SurfaceError):
    """The platform refused for good; the same call will be refused again."""


class ModelError(RunLLMError):
    """The model could not produce an answer."""


BY_NAME: dict[str, type[RunLLMError]] = {
    error.__name__: error
    for error in (
        RunLLMError, UsageError, PublishError, ServerError, StepError, SurfaceError, NotConnected,
        RateLimited, Unavailable, Rejected, ModelError,
    )
}  # fmt: skip
"""How an error that crossed a process becomes itself again."""


class HandlerLeft(BaseException):
    """`Agent.listen` and `Agent.terminate` leave the handler with this. It is no error, and not yours to catch.

    It is a `BaseException`, so that `except Exception` does not stop a conversation from moving on.
    """

    def __init__(self, how: str) -> None:
        super().__init__(f"{how}, and so left the handler. Let this pass: catch Exception, and never BaseException")
