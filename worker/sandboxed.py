"""The one module of ours that the sandbox imports anew for each run: with it come the customer's modules.

A customer's module-level variables are thus a run's own, and the names in it (`time`, `open`) are the sandbox's.
"""

from worker.session.published import import_handlers
from worker.session.workflow import Session

import_handlers()

__all__ = ["Session"]
