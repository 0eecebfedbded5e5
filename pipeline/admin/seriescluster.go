package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// peerPatience bounds the wait for another instance's samples: a plot without them
// says so.
const peerPatience = 1500 * time.Millisecond

// ClusterSeries is the answer of GET /series: this instance's samples first, then
// those of the others that live.
type ClusterSeries struct {
	Instances []SeriesAnswer `json:"instances"`
	// Missing are live instances that did not answer.
	Missing []MissingSeries `json:"missing"`
}

// MissingSeries is an instance whose samples are not in an answer.
type MissingSeries struct {
	Instance string `json:"instance"`
	Reason   string `json:"reason"`
}

// seriesHandler answers GET /series?since=SECONDS with the later samples. Every
// instance counts its own work only, so the others are asked with the caller's own
// credentials; scope=instance asks nobody.
func seriesHandler(s *Series, cluster func(context.Context) (ledger.Cluster, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64) // anything else: all of them
		answer := ClusterSeries{Instances: []SeriesAnswer{s.after(since)}, Missing: []MissingSeries{}}
		if cluster != nil && r.URL.Query().Get("scope") != "instance" {
			if c, err := cluster(r.Context()); err == nil { // without a ledger: this instance alone
				answer.addPeers(r, s.instance(), c.Instances, since)
			}
		}
		write(w, http.StatusOK, answer)
	}
}

func (a *ClusterSeries) addPeers(r *http.Request, own string, instances []ledger.Instance, since int64) {
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, i := range instances {
		if !i.Alive || i.ID == own || i.URL == "" {
			continue
		}
		asked.Go(func() {
			found, err := askPeer(r, i.URL, since)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				a.Missing = append(a.Missing, MissingSeries{Instance: i.ID, Reason: "no answer"})
				return
			}
			a.Instances = append(a.Instances, found.Instances...)
		})
	}
	asked.Wait()
}

func askPeer(r *http.Request, base string, since int64) (found ClusterSeries, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), peerPatience)
	defer cancel()
	query := url.Values{"scope": {"instance"}, "since": {strconv.FormatInt(since, 10)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/series?"+query.Encode(), nil)
	if err != nil {
		return found, err
	}
	req.Header.Set("Authorization", r.Header.Get("Authorization"))
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return found, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return found, fmt.Errorf("status %d", answer.StatusCode)
	}
	err = json.NewDecoder(http.MaxBytesReader(nil, answer.Body, 1<<20)).Decode(&found)
	return found, err
}
