//! The admin listener: `/metrics`, `/livez`, `/readyz` as plain `http::Request -> http::Response` handlers.
