// Package stytch speaks Stytch's B2B API: organizations, members, passwords and
// the RBAC policy, over one pool of HTTP/1.1 connections.
//
// It is made for a caller that must know what a call may have done. Every
// connection compares the wall clock with the call's write deadline before it
// writes (WithWriteDeadline, hazard A2), nothing is sent twice behind the
// caller's back, and MaybeSent tells a request that never left this process from
// one whose outcome is unknown. In a request an absent field, a null and a zero
// value differ (Fields): absent leaves a field alone, null removes a metadata key.
//
// Errors carry Stytch's error type, never its message: messages may repeat values
// (invariant 8). The package logs nothing.
package stytch
