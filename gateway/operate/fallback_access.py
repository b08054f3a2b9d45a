"""The access files of the broker, as an amqtt plugin."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from gateway.operate import access

VERBS = {Action.PUBLISH: "write", Action.SUBSCRIBE: "read", Action.RECEIVE: "read"}


class AccessPlugin(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Lets in and through what the two files say."""

    @dataclass
    class Config:
        folder: str = "."

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self.folder = Path(self.config.folder)
        self.rules = access.read(self.folder)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)

    def reload(self) -> None:
        """Read the files again; a login that is gone from them reaches nothing from now on."""
        self.rules = access.read(self.folder)

    async def authenticate(self, *, session: Session) -> bool | None:
        return self.rules.knows(session.username, session.password, session.client_id)

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        if session is None or topic is None or action is None:
            return False
        return self.rules.allows(session.username, topic, VERBS[action])
