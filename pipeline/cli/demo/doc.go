// Package demo shows a whole migration on one machine: it seeds a legacy system
// (the tables of the BoxyHQ SaaS starter kit), lets people use it, and compares
// Stytch with it field by field at the end.
//
// seed makes the legacy system, workload uses it, compare judges the outcome,
// progress shows what happens meanwhile; run puts them in order.
package demo
