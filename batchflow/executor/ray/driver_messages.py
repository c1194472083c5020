"""The messages between the coordinator and the process that talks to Ray."""

from __future__ import annotations

import enum


class ToDriver(enum.Enum):
    """The kinds of messages to the driver."""

    CONNECT = "connect to a cluster, with these settings"
    GROW = "get so many nodes"
    FORWARD = "pass the body on to a node"
    FREE = "news of so many bytes is taken"
    DROP = "end a node's actor"
    CLOSE = "end all actors, then the process"


class FromDriver(enum.Enum):
    """The kinds of messages from the driver."""

    CONNECTED = "the cluster is connected"
    REFUSED = "the cluster can't be used"
    JOINED = "a node has joined"
    NEWS = "the body comes from a node"
    LEFT = "a node has left"
