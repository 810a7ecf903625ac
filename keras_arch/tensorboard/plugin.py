"""The TensorBoard plugin: found through the entry point, read-only, and free of TensorFlow and Keras by itself."""

import argparse
import functools
import importlib.resources
import json
from collections.abc import Callable
from typing import Any

from tensorboard import context as request_context
from tensorboard import errors
from tensorboard.backend import experiment_id, http_util
from tensorboard.plugins import base_plugin
from werkzeug.wrappers import Request, Response

from keras_arch.tensorboard import layout
from keras_arch.tensorboard.reader import Reader

# How many events a tag TensorBoard keeps; without these it keeps 10 of an unknown plugin.
# A picture step of 8 samples is about 0.2 MB, a vector of 200 layers 1 kB.
SAMPLES = {layout.VECTORS: 2000, layout.IMAGES: 200}
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}


class KerasArchPlugin(base_plugin.TBPlugin):
    """Serves the page and the data it shows: vectors over steps, and pictures with heat maps.

    Routes below `/data/plugin/keras_arch`, all for GET only: `/tags`, `/vector?run&tag`, `/images?run&tag`,
    `/blob?key`, and one route for each file of the page.

    Args:
        context: what TensorBoard gives a plugin; only its data provider is used.

    >>> from keras_arch.tensorboard.plugin import KerasArchPlugin
    >>> plugin = KerasArchPlugin(base_plugin.TBContext())
    >>> "/static/index.js" in plugin.get_plugin_apps()
    True
    """

    plugin_name = layout.VECTORS

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._reader = Reader(context.data_provider)

    def data_plugin_names(self) -> tuple[str, ...]:
        """Names under which the data lies; the tab is active when there is data under one of them."""
        return (layout.VECTORS, layout.IMAGES)

    def is_active(self) -> bool:
        """Leave the answer to TensorBoard, which knows what data there is."""
        return False

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Name the page's entry module and its tab."""
        return base_plugin.FrontendMetadata(es_module_path="/static/index.js", tab_name="keras_arch")

    def get_plugin_apps(self) -> dict[str, Callable[..., Any]]:
        """Map each exact route to its application; a path that is not in the table does not exist."""
        apps = {
            "/tags": _read_only(self._tags),
            "/vector": _read_only(self._vector),
            "/images": _read_only(self._images),
            "/blob": _read_only(self._blob),
        }
        for file in (importlib.resources.files("keras_arch.tensorboard") / "static").iterdir():
            media_type = MEDIA_TYPES.get(file.name[file.name.rfind(".") :])
            if media_type is not None:
                content = file.read_bytes()
                apps[f"/static/{file.name}"] = _read_only(functools.partial(_asset, content, media_type))
        return apps

    def _tags(self, request: Request) -> Response:
        return _json(request, self._reader.listing(*_where(request)))

    def _vector(self, request: Request) -> Response:
        return _json(request, self._reader.vector(*_where(request), *_arguments(request, "run", "tag")))

    def _images(self, request: Request) -> Response:
        return _json(request, self._reader.images(*_where(request), *_arguments(request, "run", "tag")))

    def _blob(self, request: Request) -> Response:
        data, media_type = self._reader.blob(_where(request)[0], *_arguments(request, "key"))
        # The page adds the time of writing to the address, so a cached answer is never that of an earlier run.
        return http_util.Respond(request, data, media_type, expires=3600)


class KerasArchLoader(base_plugin.TBLoader):
    """What the entry point `tensorboard_plugins` names: sets how many events are kept, and makes the plugin.

    >>> from keras_arch.tensorboard.plugin import KerasArchLoader
    >>> import argparse
    >>> flags = argparse.Namespace(samples_per_plugin={"keras_arch": 50})
    >>> KerasArchLoader().fix_flags(flags)
    >>> flags.samples_per_plugin
    {'keras_arch': 50, 'keras_arch_images': 200}
    """

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Set our defaults in `--samples_per_plugin`, below what the user chose."""
        for name, samples in SAMPLES.items():
            flags.samples_per_plugin.setdefault(name, samples)

    def load(self, context: base_plugin.TBContext) -> KerasArchPlugin:
        """Make the plugin."""
        return KerasArchPlugin(context)


def _read_only(handler: Callable[[Request], Response]) -> Callable[..., Any]:
    """Make a handler a WSGI application that answers GET and HEAD, and says in plain text what was wrong."""

    @Request.application
    def application(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            allow = [("Allow", "GET, HEAD")]
            return http_util.Respond(request, "This address can only be read.", "text/plain", code=405, headers=allow)
        try:
            return handler(request)
        except errors.PublicError as error:
            return http_util.Respond(request, str(error), "text/plain", code=error.http_code)

    return application


def _asset(content: bytes, media_type: str, request: Request) -> Response:
    return http_util.Respond(request, content, media_type)


def _json(request: Request, answer: Any) -> Response:
    return http_util.Respond(request, json.dumps(answer), "application/json")


def _where(request: Request) -> tuple[Any, str]:
    """Context and experiment of a request. `tensorboard.plugin_util` would do, but loads an HTML sanitizer for it."""
    return request_context.from_environ(request.environ), request.environ.get(experiment_id.WSGI_ENVIRON_KEY, "")


def _arguments(request: Request, *names: str) -> list[str]:
    for name in names:
        if len(request.args.getlist(name)) != 1:
            raise errors.InvalidArgumentError(f"The address needs ?{'=…&'.join(names)}=…, each once.")
    return [request.args[name] for name in names]
