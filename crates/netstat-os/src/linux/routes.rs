//! Interfaces and route tables through rtnetlink.
