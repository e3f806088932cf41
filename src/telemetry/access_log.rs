//! The access log: one line for each request, formatted and written off the request's thread, bounded, drops counted.
