//! The one registry of metrics: names, labels, handles.
