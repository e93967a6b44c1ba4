"""`dataclass` as the standard library has it, but made when it is first used.

To make a dataclass, Python writes the text of up to six methods and compiles each of them: 0.4 ms a
class, and a verb imports 160 classes of which it uses a third. That was a quarter of what a short
call took. Here a class gets small stand-ins for these methods instead. The first call of one has
`dataclasses` make the real ones, on a copy of the class, and they take the stand-ins' places.
Most objects are made, and neither compared nor shown: the first call of `__init__` makes no more
than that one, where the class is of the plain kind.
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
            if name != "__init__" or not _make_init(owner, options):
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

    def _make_init(cls, options):
        """Make `__init__` as `dataclasses` would, but for its annotations. False where the class is
        derived from another dataclass, or says something of a field that isn't a default.
        """
        from dataclasses import MISSING, Field

        if any("__dataclass_fields__" in base.__dict__ for base in cls.__mro__[1:]):
            return False
        known = {"set_": object.__setattr__, "missing_": MISSING}
        arguments, lines = ["self"], []
        for name, hint in vars(cls).get("__annotations__", {}).items():
            default, factory = cls.__dict__.get(name, MISSING), MISSING
            if isinstance(default, Field):
                if not default.init or default.kw_only is True:
                    return False
                default, factory = default.default, default.default_factory
            if not isinstance(hint, str) or "Var" in hint or "KW_ONLY" in hint:
                return False
            if name in known or default.__class__.__hash__ is None:  # dataclasses refuses it
                return False
            value = name
            if factory is not MISSING:
                known[f"make_{name}"] = factory
                arguments.append(f"{name}=missing_")
                value = f"make_{name}() if {name} is missing_ else {name}"
            elif default is not MISSING:
                known[f"default_{name}"] = default
                arguments.append(f"{name}=default_{name}")
            elif "=" in arguments[-1]:
                return False  # dataclasses says what is wrong with it
            else:
                arguments.append(name)
            setting = f"set_(self, {name!r}, {value})" if options.get("frozen") else None
            lines.append(setting or f"self.{name} = {value}")
        lines += ["self.__post_init__()"] if hasattr(cls, "__post_init__") else ["pass"]
        text = f"def __init__({', '.join(arguments)}):\n " + "\n ".join(lines)
        exec(text, known)  # noqa: S102  (names are those of our own fields)
        init = known["__init__"]
        init.__qualname__ = f"{cls.__qualname__}.__init__"
        init.stands_in = True
        with _one_at_a_time:
            if not getattr(cls.__dict__["__init__"], "stands_in", False):
                return True  # another thread had all of it made
            if options.get("frozen"):
                _freeze(cls, stands_in=True)
            cls.__init__ = init
        return True

    def _freeze(cls, *, stands_in):
        def refuse(self, name, *_):
            from dataclasses import FrozenInstanceError

            raise FrozenInstanceError(f"cannot assign to or delete field {name!r}")

        refuse.stands_in = stands_in
        cls.__setattr__ = cls.__delattr__ = refuse

    def _make(cls, options):
        from dataclasses import Field
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
                _freeze(cls, stands_in=False)
            for name in (*FACTS, *METHODS):
                if name in made.__dict__ and made.__dict__[name] is not cls.__dict__.get(name):
                    setattr(cls, name, made.__dict__[name])


__all__ = ["dataclass"]
