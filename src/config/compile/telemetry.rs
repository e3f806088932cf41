//! Compile: `telemetry`.
