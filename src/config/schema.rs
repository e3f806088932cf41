//! `conf/schema.json`: the shape of the file for editors.
