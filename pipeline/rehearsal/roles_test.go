package rehearsal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadRoles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, fails string
	}{
		"as answered": {`{"status_code": 200, "policy": {"roles": [{"role_id": "stytch_member"}, {"role_id": "owner"}]}}`, ""},
		"alone":       {`{"roles": [{"role_id": "stytch_member"}, {"role_id": "owner"}]}`, ""},
		"no JSON":     {`owner`, "is not what Stytch answers"},
		"no roles":    {`{"policy": {}}`, "holds no roles"},
	} {
		path := filepath.Join(t.TempDir(), "policy.json")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := ReadRoles(path)
		switch {
		case c.fails != "":
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case !r.Has("owner") || r.Has("nobody") || r.Has("stytch_member"): // none can be given the last
			t.Errorf("%s: %+v", name, r)
		}
	}
	if !UnknownRoles().Has("nobody") {
		t.Error("without a policy a role is refused")
	}
}
