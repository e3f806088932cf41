//! Explain: the same way of a request, with a recorder.
