//! `-r`: interface list and route tables.
