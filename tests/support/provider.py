"""An OpenID provider, small and strict: what it is given must be what the standard says."""

from __future__ import annotations

import base64
import hashlib
import secrets
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from support.tokens import NOW, jwk, signed

__all__ = ["CALLBACK", "Provider"]

CALLBACK = "https://shop.example/sign-in/callback"


class Provider:
    """The provider; what it answers can be changed to what a wrong or hostile one would answer."""

    issuer = "https://id.example"

    def __init__(self) -> None:
        self.codes: dict[str, dict[str, str]] = {}
        self.claims: dict[str, object] = {}
        self.metadata: dict[str, object] = {}
        self.requests: list[str] = []
        self.down = False
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discover),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/keys", self.keys),
            ]
        )

    async def discover(self, request: Request) -> Response:
        self.requests.append("discover")
        if self.down:
            return Response(status_code=503)
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse({**document, **self.metadata})

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == "shop"
        assert asked["redirect_uri"] == CALLBACK
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.issuer}
        return RedirectResponse(f"{CALLBACK}?{urlencode(back)}")

    async def token(self, request: Request) -> Response:
        self.requests.append("token")
        form = dict(await request.form())
        assert request.headers["authorization"] == "Basic " + base64.b64encode(b"shop:s%3Acret").decode()
        asked = self.codes.pop(str(form["code"]), None)
        verifier = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or form["redirect_uri"] != CALLBACK:
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = {
            "iss": self.issuer,
            "aud": "shop",
            "sub": "u-1",
            "email": "ann@example.com",
            "nonce": asked["nonce"],
            "iat": int(NOW),
            "exp": int(NOW) + 60,
        }
        claims = {name: value for name, value in {**claims, **self.claims}.items() if value is not None}
        return JSONResponse({"id_token": signed("RS256", "RSA", claims, typ="JWT", kid="p"), "token_type": "Bearer"})

    async def keys(self, request: Request) -> Response:
        self.requests.append("keys")
        return JSONResponse({"keys": [jwk("RSA", kid="p", alg="RS256", use="sig")]})
