"""Registries that map names to builders, for encoders, kinds of input, fusions and corpora.

A duplicate name is an error at import, and the error for an unknown name lists the choices. Options are checked against
the builder's signature before it is called, so a wrong key or type never reaches torch. A name can be announced with
its module, which is then imported only when the builder is needed. The recipes of an encoder are kept with its name, so
that a config is resolved without importing torch.
"""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any, TypeAlias, TypeVar, get_type_hints

import pydantic

from multiemo.errors import ConfigError, first_line
from multiemo.recipe import RecipeSettings, TrainingRecipe

T = TypeVar("T", bound=Callable[..., Any])
#: Annotations of options: ``Share`` for a probability or share, ``Size`` for a count or size, ``Positive`` for seconds
#: or a rate.
Share: TypeAlias = Annotated[float, pydantic.Field(ge=0, le=1)]
Size: TypeAlias = Annotated[int, pydantic.Field(ge=1)]
Count: TypeAlias = Annotated[int, pydantic.Field(ge=0)]
Positive: TypeAlias = Annotated[float, pydantic.Field(gt=0)]
#: {option of a registered part: value, of the type that its annotation names}.
CheckedOptions: TypeAlias = dict[str, Any]


#: The environment variable that names modules with parts of the user's own, separated by commas.
OWN_MODULES = "MULTIEMO_MODULES"


@cache
def import_own_modules() -> None:
    """Import the modules that the environment names, from the installed packages or the working directory.

    Processes that are started inherit the environment, and therefore know the same parts.

    Raises:
        ConfigError: a module cannot be imported.
    """
    names = [name.strip() for name in os.environ.get(OWN_MODULES, "").split(",") if name.strip()]
    if names and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    for name in names:
        try:
            import_module(name)
        except Exception as error:  # the user's code may raise anything
            raise ConfigError(
                f"{OWN_MODULES}: {name!r} cannot be imported ({type(error).__name__}: {first_line(error)})"
            ) from error


def suggest(name: str, choices: list[str]) -> str:
    """``; did you mean 'x'? choices: ...`` for an error message."""
    close = difflib.get_close_matches(name, choices, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{hint} choices: {', '.join(sorted(choices))}"


class Registry:
    """A registry of builders of one kind.

    Args:
        kind: name of the kind, for messages ("encoder").
        key: config key that contains the name, for messages.
        home: package whose import announces names and recipes; imported before a recipe is looked up.

    Example:
        >>> shapes = Registry("shape")
        >>> @shapes.register("square", modality="face")
        ... def square(*, side: int = 2) -> int:
        ...     return side * side
        >>> shapes.build("square", {"side": 3}, where="demo")
        9
    """

    def __init__(self, kind: str, key: str = "", home: str = "") -> None:
        self.kind = kind
        self.key = key
        self.home = home
        self._builders: dict[str, Callable[..., Any]] = {}
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._modules: dict[str, str] = {}
        self._recipes: dict[str, tuple[TrainingRecipe, ...]] = {}

    def announce(self, name: str, module: str, **facts: Any) -> None:
        """Declare that importing ``module`` registers ``name``; the module is imported only when it is needed.

        Args:
            name: name that the module registers.
            module: dotted name of the module.
            facts: facts with which it registers the name.
        """
        self._modules[name], self._facts[name] = module, facts

    def register(self, name: str, **facts: Any) -> Callable[[T], T]:
        """Decorator that registers a builder under ``name``, with facts about it (``modality="text"``).

        Raises:
            ConfigError: the name is already registered, or was announced with other facts.
        """

        def add(builder: T) -> T:
            if name in self._builders or self._modules.get(name, builder.__module__) != builder.__module__:
                raise ConfigError(f"{self.kind} {name!r} is registered twice")
            if self._facts.get(name, facts) != facts:
                raise ConfigError(f"{self.kind} {name!r} was announced with {self._facts[name]}, not with {facts}")
            self._builders[name] = builder
            self._facts[name] = facts
            return builder

        return add

    def names(self, **facts: Any) -> list[str]:
        """All names in order, or only those with the given facts."""
        return sorted(n for n, f in self._facts.items() if all(f.get(k) == v for k, v in facts.items()))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def facts(self, name: str) -> Mapping[str, Any]:
        """The facts given at the registration of ``name``."""
        self._check_known(name, self.kind)
        return self._facts[name]

    def recommend(self, name: str, recipes: Sequence[TrainingRecipe]) -> None:
        """Set the training settings recommended for ``name``; of several recipes the last one that fits applies."""
        self._recipes[name] = tuple(recipes)

    def recipes(self, name: str) -> tuple[TrainingRecipe, ...]:
        """The recipes of ``name``; none if the name is unknown."""
        if self.home:
            import_module(self.home)
        return self._recipes.get(name, ())

    def recipe(self, name: str, options: Mapping[str, Any]) -> RecipeSettings:
        """The settings recommended for ``name`` with these options: those of the last of its recipes that fits."""
        nothing = RecipeSettings()
        return next((r.settings for r in reversed(self.recipes(name)) if r.fits(options)), nothing)

    def get(self, name: str, *, where: str) -> Callable[..., Any]:
        """The builder registered under ``name``.

        Args:
            name: registered name.
            where: config path of the name, for the message.

        Raises:
            ConfigError: the name is unknown.
        """
        self._check_known(name, where)
        if name not in self._builders:
            import_module(self._modules[name])
        return self._builders[name]

    def _check_known(self, name: str, where: str) -> None:
        """Raise a ConfigError that lists the choices if ``name`` is unknown."""
        if name not in self._facts:
            import_own_modules()
        if name not in self._facts:
            place = f"{where}.{self.key}" if self.key else where
            own = f" (modules with parts of your own are named in the environment variable {OWN_MODULES})"
            raise ConfigError(f"{place}: unknown {self.kind} {name!r}{suggest(name, list(self._facts))}{own}")

    def build(self, name: str, options: Mapping[str, Any], *, where: str, **given: Any) -> Any:
        """Call the builder with checked options.

        Args:
            name: registered name.
            options: keyword arguments from a config, checked for name and type.
            where: config path, for messages.
            given: further keyword arguments from code, not checked; those that the builder does not take are ignored.

        Raises:
            ConfigError: the name or an option is unknown, or a value has the wrong type.
        """
        builder = self.get(name, where=where)
        parameters = inspect.signature(builder).parameters
        extra = {k: v for k, v in given.items() if k in parameters}
        return builder(**self.check(name, options, where=where, given=extra), **extra)

    def check(
        self, name: str, options: Mapping[str, Any], *, where: str, given: Collection[str] = ()
    ) -> CheckedOptions:
        """The options, converted to the types of the builder's annotations.

        Args:
            name: registered name.
            options: keyword arguments from a config.
            where: config path, for messages.
            given: names of arguments that come from code and must not be in a config.

        Raises:
            ConfigError: as in :meth:`build`.
        """
        builder = self.get(name, where=where)
        target = builder.__init__ if inspect.isclass(builder) else builder  # type: ignore[misc]
        hints = get_type_hints(target, include_extras=True)
        fields: dict[str, Any] = {}
        for key, parameter in inspect.signature(builder).parameters.items():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and key not in given:
                default = ... if parameter.default is inspect.Parameter.empty else parameter.default
                fields[key] = (hints.get(key, Any), default)
        unknown = [k for k in options if k not in fields]
        if unknown:
            raise ConfigError(
                f"{where}.{unknown[0]}: unknown option of {self.kind} {name!r}{suggest(unknown[0], list(fields))}"
            )
        # ``strict`` is off, because YAML has no tuples and 1 is a valid float.
        rules = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)
        model = pydantic.create_model("Options", __config__=rules, **fields)
        try:
            checked = model(**options)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{where}.{key}: {first['msg'].lower()}, got {first['input']!r}") from None
        found = {k: getattr(checked, k) for k in fields if k in options}
        for key, value in found.items():
            _check_number(f"{where}.{key}", options[key], value)
        return found


def _check_number(where: str, given: Any, value: Any) -> None:
    """Reject a negative number, which no option accepts, and a boolean in place of a number.

    Raises:
        ConfigError: the value is negative, or a boolean for a numeric option.
    """
    if isinstance(given, bool) and not isinstance(value, bool):
        raise ConfigError(f"{where}: must be a number, got {str(given).lower()!r}")
    if isinstance(value, int | float) and value < 0:
        raise ConfigError(f"{where}: must not be below 0, got {given!r}")


encoders = Registry("encoder", key="name", home="multiemo.encoders")
inputs = Registry("kind of input")
fusions = Registry("fusion", key="name")
corpora = Registry("corpus")
#: Evidence inside a kind of input, by the name of the kind (``multiemo.explanation.evidence``).
evidence = Registry("kind of evidence")
