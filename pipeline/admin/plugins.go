package admin

import (
	"net/http"
	"slices"
	"strings"
)

// Plugin is a kind of connector as GET /connector-plugins answers.
type Plugin struct {
	Class   string `json:"class"`
	Type    string `json:"type"`
	Version string `json:"version"`
}

// ConfigKey is an entry of a connector's configuration as GET
// /connector-plugins/{plugin}/config answers.
type ConfigKey struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
	// Default is what this pipeline's file gives, which is not told here: null.
	Default       *string  `json:"default_value"`
	Importance    string   `json:"importance"`
	Documentation string   `json:"documentation"`
	Group         *string  `json:"group"`
	OrderInGroup  int      `json:"order_in_group"`
	Width         string   `json:"width"`
	DisplayName   string   `json:"display_name"`
	Dependents    []string `json:"dependents"`
}

// class is what a connector's configuration calls its kind.
func (c connect) class(name string) string { return c.Config(name)["connector.class"] }

// plugins lists the three kinds of connectors. There are no transformations or
// converters to add with ?connectorsOnly=false.
func (c connect) plugins(w http.ResponseWriter, _ *http.Request) {
	list := []Plugin{}
	for _, name := range c.Names() {
		list = append(list, Plugin{c.class(name), c.kind(name), c.version})
	}
	write(w, http.StatusOK, list)
}

// pluginConfig lists the keys of GET /connectors/{name}/config: the file has more.
func (c connect) pluginConfig(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(c.Names(), func(name string) bool {
		return c.class(name) == r.PathValue("plugin") || strings.TrimPrefix(c.class(name), "backstitch.") == r.PathValue("plugin")
	})
	if i < 0 {
		fail(w, http.StatusNotFound, "Unknown plugin "+r.PathValue("plugin")+".")
		return
	}
	keys := []ConfigKey{}
	config := c.Config(c.Names()[i])
	for _, key := range sortedKeys(config) {
		kind := "STRING"
		if config[key] == Masked {
			kind = "PASSWORD"
		}
		keys = append(keys, ConfigKey{
			Name: key, Type: kind, Importance: "MEDIUM", Documentation: "set in the file that `backstitch run -c FILE` names: docs/configuration.md",
			OrderInGroup: -1, Width: "NONE", DisplayName: key, Dependents: []string{},
		})
	}
	write(w, http.StatusOK, keys)
}
