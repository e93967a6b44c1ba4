"""`dataclass` as the standard library has it, but made when it is first used.

To make a dataclass, Python writes the text of up to six methods and compiles each of them: 0.4 ms a
class, and a verb imports 160 classes of which it uses a third. That was a quarter of what a short
call took. Here a class gets small stand-ins for these methods instead. The first call of one has
`dataclasses` make the real ones, on a copy of the class, and they take the stand-ins' places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import threading
    from functools import partial

    # pickled or copied objects come into being without __init__, so that is not the only one
    METHODS = ("__init__", "__repr__", "__eq__", "__hash__")
    FACTS = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")
    _one_at_a_time = threading.RLock()

    def dataclass(cls=None, /, **options):
        """`dataclasses.dataclass`, with the options `frozen`, `repr` and `eq`; with others it is
        made at once.
        """
        if cls is None:
            return partial(dataclass, **options)
        if not options.keys() <= {"frozen", "repr", "eq"}:
            from dataclasses import dataclass as at_once

            return at_once(cls, **options)
        wanted = {
            "__repr__": options.get("repr", True),
            "__eq__": options.get("eq", True),
            "__hash__": options.get("eq", True),  # mutable: it becomes None, not the parent's
        }
        for name in METHODS:
            if name not in cls.__dict__ and wanted.get(name, True):
                setattr(cls, name, _stand_in(cls, options, name))
        for name in FACTS:
            setattr(cls, name, _Fact(cls, options, name))
        return cls

    def _stand_in(owner, options, name):
        def call(self, *args, **kwargs):
            _make(owner, options)
            return getattr(owner, name)(self, *args, **kwargs)

        call.stands_in = True
        return call

    class _Fact:
        """What `dataclasses` keeps of a class: there once somebody asks."""

        stands_in = True

        def __init__(self, owner, options, name):
            self.made_by = (owner, options)
            self.name = name

        def __get__(self, instance, cls=None):
            owner, options = self.made_by
            _make(owner, options)
            return getattr(owner, self.name)

    def _make(cls, options):
        from dataclasses import Field, FrozenInstanceError
        from dataclasses import dataclass as at_once

        with _one_at_a_time:
            waiting = {
                name: value
                for name, value in cls.__dict__.items()
                if getattr(value, "stands_in", False)
            }
            if not waiting:
                return  # another thread was quicker
            body = {
                name: value
                for name, value in cls.__dict__.items()
                if name not in waiting and name not in ("__dict__", "__weakref__")
            }
            # a copy: were the stand-ins taken away first, another thread would find no method
            made = at_once(type(cls)(cls.__name__, cls.__bases__, body), **options)
            for name, value in body.items():
                if isinstance(value, Field):  # the default, or nothing, as dataclasses leaves it
                    if name in made.__dict__:
                        setattr(cls, name, made.__dict__[name])
                    else:
                        delattr(cls, name)
            if options.get("frozen"):

                def refuse(self, name, *_):
                    raise FrozenInstanceError(f"cannot assign to or delete field {name!r}")

                cls.__setattr__ = cls.__delattr__ = refuse
            for name in (*FACTS, *METHODS):
                if name in made.__dict__ and made.__dict__[name] is not cls.__dict__.get(name):
                    setattr(cls, name, made.__dict__[name])


__all__ = ["dataclass"]
