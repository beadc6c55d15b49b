"""What every refusal of the edge must look like."""

import re


def check_refusal(response, status, **fields):
    """A refusal: this status, the JSON body, the request's id, and these fields (`_` for `-`)."""
    shown = response.octets + response.body
    assert response.status == status, shown
    assert set(response.json) == {"error", "reason", "request_id"}, shown
    assert re.fullmatch(r"[a-z0-9_]+", response.json["error"]), shown
    assert response.json["reason"], shown
    assert response["X-Request-Id"] == response.json["request_id"] != "", shown
    assert response["Content-Type"].partition(";")[0] == "application/json", shown
    assert int(response["Content-Length"]) == len(response.body), shown
    # RFC 9110 §7.8: an answer with Upgrade lists it here, beside the close.
    options = {option.strip().lower() for option in response["Connection"].split(",")}
    assert "close" in options and options <= {"close", "upgrade"}, shown
    for name, value in fields.items():
        assert response[name.replace("_", "-")] == value, shown


def check_retry_after(response):
    """Retry-After in seconds (RFC 9110 §10.2.3), at least one."""
    assert re.fullmatch(r"[1-9][0-9]*", response["Retry-After"]), response.octets
