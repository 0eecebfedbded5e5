package figures

import "testing"

func TestNumber(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1_000: "1,000", 12_345_678: "12,345,678", -999: "-999", -1_234: "-1,234"} {
		if got := Number(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 members", 1: "1 member", 1_200: "1,200 members"} {
		if got := Count(n, "member"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
