// Package deploy is what puts Backstitch into operation: a container file, a compose
// file, Kubernetes manifests, a dashboard, alert rules and the SQL of the least
// privileged roles. The package itself is empty; its tests hold these files to the
// binary and the servers that they speak of.
package deploy
