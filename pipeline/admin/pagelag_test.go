package admin

import (
	"strings"
	"testing"
)

// The page shows the slot's lag beside what the server keeps for it, how far behind
// in seconds, and until when a backfill takes, all in the words of the status.
func TestPageShowsLagAndETA(t *testing.T) {
	t.Parallel()
	w := openPage(t, "", nil)
	w.Show(w.server.URL+"/", 1440, "light")
	w.Until(`document.querySelectorAll("#figures figure").length === 8 && document.querySelectorAll(".bars .bar").length >= 4`)
	for selector, wants := range map[string][]string{
		"#stations":      {"48.4 MiB of WAL kept", "Lag5.95 KiB, 1.4 s", "Oldest to read600 ms"},
		"#backfill-body": {"67 %, 1 min 16 s left"},
		"#figures":       {"Slotlag ", "kept ", "Time behindslot ", "topics "},
	} {
		text := w.Value(`document.querySelector("` + selector + `").textContent`)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q: %s", selector, want, text)
			}
		}
	}
	for _, title := range []string{"Slot", "Time behind"} {
		label := w.Value(`[...document.querySelectorAll("#figures figure")].find((f) => f.querySelector(".title").textContent === "` + title + `").querySelector("svg").getAttribute("aria-label")`)
		if strings.Contains(label, "no samples") || !strings.Contains(label, "now ") {
			t.Errorf("the plot %q says: %s", title, label)
		}
	}
}

// What is not known is a dash, never zero.
func TestPageShowsWhatIsNotKnownAsUnknown(t *testing.T) {
	t.Parallel()
	w := openPage(t, "", func(s *Status) {
		s.Source.SlotLagSeconds = nil
		for i := range s.Lag {
			s.Lag[i].Bytes, s.Lag[i].Seconds = nil, nil
		}
		for i := range s.Backfill {
			s.Backfill[i].RowsPerSecond, s.Backfill[i].ETASeconds = nil, nil
		}
	})
	w.Show(w.server.URL+"/", 1440, "light")
	w.Until(`document.querySelectorAll(".bars .bar").length >= 4`)
	stations, bars := w.Value(`document.querySelector("#stations").textContent`), w.Value(`document.querySelector("#backfill-body").textContent`)
	if !strings.Contains(stations, "Lag5.95 KiB, –") || !strings.Contains(stations, "Oldest to read–") || !strings.Contains(bars, "67 %") || strings.Contains(bars, "1 min 16 s") {
		t.Errorf("the page says %s; %s", stations, bars)
	}
	if faults := w.Faults(); len(faults) > 0 {
		t.Errorf("the browser complained: %q", faults)
	}
}
