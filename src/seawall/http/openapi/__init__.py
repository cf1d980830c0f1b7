"""OpenAPI 3.1 documents from routes: nothing is described twice, so nothing can differ.

Sections of an operation's docstring are read besides its text, in Google style:

- ``Args:`` describes the parameters, ``Returns:`` the success, ``Raises:`` the problems by their class names;
- ``Example:`` with a block of JSON below it is the example of the request body or, for an operation without
  one, of the answer; ``Example response:`` is always that of the answer.

The attributes of a type are described by ``msgspec.Meta(description=…, examples=[…])`` or by the ``Args:`` or
``Attributes:`` section of its docstring.
"""

from seawall.http.openapi.document import document, index, versions_of
from seawall.http.openapi.info import Contact, Info, Licence, Server

__all__ = ["Contact", "Info", "Licence", "Server", "document", "index", "versions_of"]
