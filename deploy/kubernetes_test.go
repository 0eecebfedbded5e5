package deploy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/config"
)

// manifests are the objects of deploy/kubernetes/base that the tests look into.
type manifests struct {
	Deployment struct {
		Spec struct {
			Replicas int
			Selector selector
			Strategy struct {
				RollingUpdate struct{ MaxUnavailable, MaxSurge int }
			}
			Template struct {
				Metadata struct{ Labels map[string]string }
				Spec     pod
			}
		}
	}
	PDB struct {
		Spec struct {
			MaxUnavailable int
			Selector       selector
		}
	}
	Policy struct {
		Spec struct {
			PodSelector selector
			Egress      []struct{ Ports []struct{ Port int } }
		}
	}
	Service struct {
		Spec struct{ Selector map[string]string }
	}
	kinds []string
}

type selector struct{ MatchLabels map[string]string }

type pod struct {
	TerminationGracePeriodSeconds int
	SecurityContext               struct {
		RunAsNonRoot bool
		RunAsUser    int
	}
	Containers []struct {
		Args                                        []string
		Env                                         []struct{ Name string }
		StartupProbe, LivenessProbe, ReadinessProbe probe
		Ports                                       []struct {
			Name          string
			ContainerPort int
		}
		SecurityContext struct {
			ReadOnlyRootFilesystem, AllowPrivilegeEscalation bool
			Capabilities                                     struct{ Drop []string }
		}
		VolumeMounts []mount
	}
	Volumes []volume
}

type probe struct {
	HTTPGet struct{ Path, Port, Scheme string }
}

type mount struct {
	Name, MountPath string
	ReadOnly        bool
}

type volume struct {
	Name      string
	ConfigMap struct{ Name string }
	Secret    struct {
		SecretName string
		Items      []struct{ Key, Path string }
	}
}

func kubernetes(t *testing.T) *manifests {
	t.Helper()
	m := &manifests{}
	var kustomization struct{ Resources []string }
	decode(t, read(t, "kubernetes/base/kustomization.yaml"), &kustomization)
	for _, file := range kustomization.Resources {
		for _, doc := range strings.Split(read(t, "kubernetes/base/"+file), "\n---\n") {
			var o struct {
				Kind     string
				Metadata struct{ Name string }
			}
			decode(t, doc, &o)
			m.kinds = append(m.kinds, o.Kind)
			if o.Metadata.Name != "backstitch" {
				t.Errorf("%s: a %s is called %s", file, o.Kind, o.Metadata.Name)
			}
			switch o.Kind {
			case "Deployment":
				decode(t, doc, &m.Deployment)
			case "NetworkPolicy":
				decode(t, doc, &m.Policy)
			case "PodDisruptionBudget":
				decode(t, doc, &m.PDB)
			case "Service":
				decode(t, doc, &m.Service)
			}
		}
	}
	return m
}

// decode reads one YAML document as Kubernetes does, by way of JSON.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	converted, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = json.Unmarshal(converted, into)
	}
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// The objects belong together, and say what an operator expects of them.
func TestKubernetesObjectsAgree(t *testing.T) {
	m := kubernetes(t)
	if want := []string{"Namespace", "ServiceAccount", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}; !slices.Equal(m.kinds, want) {
		t.Errorf("the objects are %v", m.kinds)
	}
	d := m.Deployment.Spec
	labels := d.Template.Metadata.Labels
	for what, selector := range map[string]map[string]string{
		"the Deployment": d.Selector.MatchLabels, "the PodDisruptionBudget": m.PDB.Spec.Selector.MatchLabels, "the NetworkPolicy": m.Policy.Spec.PodSelector.MatchLabels,
	} {
		for k, v := range selector {
			if labels[k] != v || len(selector) != 1 {
				t.Errorf("%s selects %v, the pods are %v", what, selector, labels)
			}
		}
	}
	if !maps.Equal(m.Service.Spec.Selector, labels) {
		t.Errorf("the Service selects %v, the pods are %v", m.Service.Spec.Selector, labels)
	}
	// No gap in a rolling update or a drain of a node.
	if u := d.Strategy.RollingUpdate; u.MaxUnavailable != 0 || u.MaxSurge < 1 || d.Replicas < 2 || m.PDB.Spec.MaxUnavailable >= d.Replicas {
		t.Errorf("%d replicas, %+v, at most %d evicted", d.Replicas, u, m.PDB.Spec.MaxUnavailable)
	}
	p := d.Template.Spec
	if p.TerminationGracePeriodSeconds != graceSeconds(t) {
		t.Errorf("the grace period is %d s, a drain needs %d s", p.TerminationGracePeriodSeconds, graceSeconds(t))
	}
	c := p.Containers[0]
	if s := c.SecurityContext; !s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation || !slices.Contains(s.Capabilities.Drop, "ALL") || !p.SecurityContext.RunAsNonRoot {
		t.Errorf("the container may %+v", s)
	}
	if user := fmt.Sprintf("USER %d:", p.SecurityContext.RunAsUser); !strings.Contains(read(t, "Containerfile"), user) {
		t.Errorf("the image has not %s", user)
	}
	for _, word := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(lineOf(t, "Containerfile", "CMD"), -1) {
		if !slices.Contains(c.Args, word[1]) {
			t.Errorf("the arguments are %v, the image's %s", c.Args, word[1])
		}
	}
	for name, volume := range p.volumes() {
		if !slices.ContainsFunc(c.VolumeMounts, func(m mount) bool { return m.Name == name && m.ReadOnly }) {
			t.Errorf("volume %s (%+v) is not mounted for reading", name, volume)
		}
	}
}

// The probes ask what the admin address answers without a token, at its port and in
// its scheme.
func TestProbesAreAnswered(t *testing.T) {
	m := kubernetes(t)
	cfg := m.configuration(t)
	c := m.Deployment.Spec.Template.Spec.Containers[0]
	_, port, err := net.SplitHostPort(cfg.Admin.Listen)
	if err != nil || len(c.Ports) != 1 || fmt.Sprint(c.Ports[0].ContainerPort) != port || !strings.HasSuffix(cfg.Admin.Advertised, ":"+port) {
		t.Errorf("the container listens on %+v, the configuration says %s and advertises %s", c.Ports, cfg.Admin.Listen, cfg.Admin.Advertised)
	}
	broken := errors.New("it does not work")
	for path, o := range map[string]admin.Options{
		c.StartupProbe.HTTPGet.Path:   {Live: func() error { return broken }, Ready: func() error { return nil }},
		c.LivenessProbe.HTTPGet.Path:  {Live: func() error { return broken }, Ready: func() error { return nil }},
		c.ReadinessProbe.HTTPGet.Path: {Live: func() error { return nil }, Ready: func() error { return broken }},
	} {
		o.Token, o.Metrics, o.Control = cfg.Admin.Token.Reveal(), prometheus.NewRegistry(), struct{ admin.Control }{}
		answer := httptest.NewRecorder()
		admin.Handler(o).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != http.StatusServiceUnavailable {
			t.Errorf("GET %s of a broken instance answers %d", path, answer.Code)
		}
	}
	if c.LivenessProbe.HTTPGet.Path == c.ReadinessProbe.HTTPGet.Path {
		t.Error("liveness asks what readiness asks: a stand-by would be killed")
	}
	for _, p := range []probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if (p.HTTPGet.Scheme == "HTTPS") != (cfg.Admin.TLS.Cert != "") || p.HTTPGet.Port != c.Ports[0].Name {
			t.Errorf("a probe asks %+v", p.HTTPGet)
		}
	}
}

// configuration is the ConfigMap's, read where every mounted secret and variable is
// there, and nothing else.
func (m *manifests) configuration(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	authority := testenv.NewAuthority(t)
	pair := authority.Issue(t, "127.0.0.1")
	text := read(t, "kubernetes/base/backstitch.yaml")
	values := map[string]string{
		"source-url": "postgres://backstitch:x@legacy.example.com/legacy?sslmode=verify-full", "ledger-url": "postgres://backstitch:x@ledger.example.com/ledger?sslmode=verify-full",
		"admin-token": "a-token-for-tests", "kafka-ca.pem": read(t, authority.CA), "tls.crt": read(t, pair.Cert), "tls.key": read(t, pair.Key),
	}
	p := m.Deployment.Spec.Template.Spec
	volumes := p.volumes()
	for _, mount := range p.Containers[0].VolumeMounts {
		v := volumes[mount.Name]
		if v.Secret.SecretName == "" {
			continue
		}
		keys := []string{"tls.crt", "tls.key"} // of a Secret of type kubernetes.io/tls
		if v.Secret.SecretName == "backstitch" {
			keys = nil
			for _, i := range v.Secret.Items {
				keys = append(keys, i.Path)
			}
		}
		for _, key := range keys {
			path := filepath.Join(mount.MountPath, key)
			if !strings.Contains(text, path) {
				t.Errorf("%s is mounted and not used", path)
			}
			write(t, filepath.Join(dir, path), cmp.Or(values[key], "x"))
		}
	}
	cfg, err := config.Parse("backstitch.yaml", []byte(strings.ReplaceAll(text, "/run/secrets/", dir+"/run/secrets/")), func(name string) (string, bool) {
		there := slices.ContainsFunc(p.Containers[0].Env, func(e struct{ Name string }) bool { return e.Name == name })
		return "10.0.0.7", there
	})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// The ConfigMap's content is a configuration, and the network lets it through.
func TestKubernetesConfiguration(t *testing.T) {
	m := kubernetes(t)
	cfg := m.configuration(t)
	open := map[string]bool{}
	for _, e := range m.Policy.Spec.Egress {
		for _, p := range e.Ports {
			open[fmt.Sprint(p.Port)] = true
		}
	}
	_, admin, _ := net.SplitHostPort(cfg.Admin.Listen)
	_, broker, _ := net.SplitHostPort(cfg.Kafka.Brokers[0])
	for what, port := range map[string]string{
		"PostgreSQL": "5432", "names": "53", "Stytch": "443", "Kafka": broker, "the registry": portOf(t, cfg.Kafka.Registry), "other replicas": admin,
	} {
		if !open[port] {
			t.Errorf("the NetworkPolicy keeps pods from %s at port %s", what, port)
		}
	}
	var k struct {
		ConfigMapGenerator []struct {
			Name  string
			Files []string
		}
	}
	decode(t, read(t, "kubernetes/base/kustomization.yaml"), &k)
	p := m.Deployment.Spec.Template.Spec
	path := p.Containers[0].Args[len(p.Containers[0].Args)-1]
	for _, mount := range p.Containers[0].VolumeMounts {
		if v := p.volumes()[mount.Name]; v.ConfigMap.Name == k.ConfigMapGenerator[0].Name && filepath.Join(mount.MountPath, k.ConfigMapGenerator[0].Files[0]) != path {
			t.Errorf("the configuration is mounted at %s, and %s is read", mount.MountPath, path)
		}
	}
}

func (p pod) volumes() map[string]volume {
	all := map[string]volume{}
	for _, v := range p.Volumes {
		all[v.Name] = v
	}
	return all
}

func lineOf(t *testing.T, path, start string) string {
	t.Helper()
	for line := range strings.Lines(read(t, path)) {
		if strings.HasPrefix(line, start) {
			return line
		}
	}
	t.Fatalf("%s has no %s", path, start)
	return ""
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
