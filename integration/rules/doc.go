// Package rules pins the shape of the tree: which package may import which, and
// how long a file may grow.
package rules
