package clickhouse

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"plainsight/storage/embedded/embeddedtest"
)

// macro is a macro of Grafana's data source for ClickHouse.
var macro = regexp.MustCompile(`\$__(\w+)(?:\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\))?`)

var conditional = regexp.MustCompile(`\$__conditionalAll\((.*?), \$(\w+)\)`)

// expand replaces the data source's macros and the dashboard's variables, as
// the data source and Grafana do before a query is sent: conditions, variables,
// times.
func expand(sql string, from, to time.Time, interval time.Duration, variables map[string]string) (string, error) {
	sql = conditional.ReplaceAllStringFunc(sql, func(found string) string {
		m := conditional.FindStringSubmatch(found)
		if variables[m[2]] == "$__all" {
			return "1=1"
		}
		return m[1]
	})
	for name, value := range variables { // :sqlstring quotes
		sql = strings.ReplaceAll(sql, "${"+name+":sqlstring}", "'"+strings.ReplaceAll(value, "'", "''")+"'")
	}
	var unknown error
	sql = macro.ReplaceAllStringFunc(sql, func(found string) string {
		m := macro.FindStringSubmatch(found)
		switch m[1] {
		case "timeFilter":
			return fmt.Sprintf("%s >= toDateTime(%d) AND %s <= toDateTime(%d)", m[2], from.Unix(), m[2], to.Unix())
		case "dateFilter":
			return fmt.Sprintf("%s >= toDate('%s') AND %s <= toDate('%s')", m[2], from.Format(time.DateOnly), m[2], to.Format(time.DateOnly))
		case "timeInterval":
			return fmt.Sprintf("toStartOfInterval(toDateTime(%s), INTERVAL %d second)", m[2], int(interval.Seconds()))
		case "fromTime":
			return fmt.Sprintf("toDateTime(%d)", from.Unix())
		case "toTime":
			return fmt.Sprintf("toDateTime(%d)", to.Unix())
		}
		unknown = fmt.Errorf("the macro %s is not known", found)
		return found
	})
	if unknown == nil && strings.Contains(sql, "$") {
		unknown = fmt.Errorf("a variable is left: %s", sql)
	}
	return sql, unknown
}

// dashboard is what is looked at of Grafana's model.
type dashboard struct {
	UID, Title string
	Tags       []string
	Templating struct {
		List []struct {
			Name       string
			IncludeAll bool
			Definition string
			Query      struct{ RawSQL string }
		}
	}
	Panels []struct {
		ID          int
		Type, Title string
		Datasource  struct{ Type, UID string }
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct {
			RawSQL, QueryType string
			Format            int
			Datasource        struct{ Type, UID string }
		}
	}
}

func TestDashboardsShowWhatThereIs(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	fill(t, s)
	files, err := filepath.Glob("../../deploy/grafana/dashboards/*.json")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d dashboards: %v", len(files), err)
	}
	from, to := morning.Add(-90*24*time.Hour), evening.Add(10*time.Minute)
	uids := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if d.UID+".json" != filepath.Base(file) || uids[d.UID] || d.Title == "" || len(d.Tags) == 0 {
			t.Errorf("%s: uid %q, title %q", file, d.UID, d.Title)
		}
		uids[d.UID] = true
		choices := []map[string]string{{}}
		for _, v := range d.Templating.List {
			if rows := ask(t, s, v.Query.RawSQL); len(rows) == 0 || len(rows[0]) != 2 || v.Query.RawSQL != v.Definition {
				t.Errorf("%s: the variable %s has no values", d.UID, v.Name)
			}
			choices = []map[string]string{{v.Name: hex.EncodeToString([]byte("shop"))}}
			if v.IncludeAll {
				choices = append(choices, map[string]string{v.Name: "$__all"})
			}
		}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) != 1 || p.Datasource.UID != "plainsight" {
				t.Errorf("%s: panel %q lies wrong", d.UID, p.Title)
			}
			ids[p.ID] = true
			for _, target := range p.Targets {
				if target.Datasource.Type != "grafana-clickhouse-datasource" || (p.Type == "timeseries") != (target.Format == 0 && target.QueryType == "timeseries") {
					t.Errorf("%s: %q asks in another format than it shows", d.UID, p.Title)
				}
				for _, choice := range choices {
					sql, err := expand(target.RawSQL, from, to, time.Hour, choice)
					if err != nil {
						t.Errorf("%s: %q: %v", d.UID, p.Title, err)
						continue
					}
					rows, err := askWith(t, s, sql)
					if err != nil || len(rows) == 0 {
						t.Errorf("%s: %q: %d rows of %s: %v", d.UID, p.Title, len(rows), sql, err)
						continue
					}
					if _, ok := rows[0][0].(time.Time); p.Type == "timeseries" && !ok {
						t.Errorf("%s: %q: its first column is no time but %T", d.UID, p.Title, rows[0][0])
					}
					if p.Type == "stat" && (len(rows) != 1 || len(rows[0]) != 1) {
						t.Errorf("%s: %q shows one value, not %v", d.UID, p.Title, rows)
					}
				}
				// A service's name is what traffic makes it; as a variable it is hexadecimal.
				if strings.Contains(target.RawSQL, "service:") != (strings.Count(target.RawSQL, "unhex(") == 1) {
					t.Errorf("%s: %q takes a name as it is", d.UID, p.Title)
				}
			}
		}
	}
	for _, uid := range []string{"overview", "findings", "inventory", "encryption", "service", "agents"} {
		if !uids["plainsight-"+uid] {
			t.Errorf("there is no dashboard %s", uid)
		}
	}
}

func TestAlertsHaveAValue(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	text, err := os.ReadFile("../../deploy/grafana/provisioning/alerting/plainsight.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		APIVersion int `yaml:"apiVersion"`
		Groups     []struct {
			Rules []struct {
				UID, Title, Condition string
				Annotations           map[string]string
				Data                  []struct {
					RefID         string `yaml:"refId"`
					DatasourceUID string `yaml:"datasourceUid"`
					Model         struct {
						RawSQL     string `yaml:"rawSql"`
						Conditions []struct {
							Evaluator struct {
								Type   string
								Params []float64
							}
						}
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	fires := map[string]bool{"plainsight-critical": true, "plainsight-attack": true, "plainsight-unauthenticated": true, "plainsight-errors": false,
		"plainsight-plaintext": false, "plainsight-refused": false, "plainsight-certificates": true, "plainsight-blind": true, "plainsight-silent": true}
	for _, filled := range []bool{false, true} {
		if filled {
			fill(t, s)
		}
		seen := 0
		for _, rule := range file.Groups[0].Rules {
			seen++
			query, threshold := rule.Data[0], rule.Data[2].Model.Conditions[0].Evaluator
			if rule.Condition != "C" || query.DatasourceUID != "plainsight" || rule.Annotations["summary"] == "" || threshold.Type != "gt" {
				t.Errorf("%s: %+v", rule.UID, rule)
			}
			sql, err := expand(query.Model.RawSQL, morning.Add(-12*time.Hour), evening.Add(20*time.Minute), time.Minute, nil)
			if err != nil {
				t.Errorf("%s: %v", rule.UID, err)
				continue
			}
			var value float64
			switch v := one(t, s, sql).(type) {
			case uint64:
				value = float64(v)
			case float64:
				value = v
			default:
				t.Errorf("%s: %T is no number", rule.UID, v)
			}
			want, known := fires[rule.UID]
			if fired := value > threshold.Params[0]; !known || fired != (want && filled) {
				t.Errorf("%s: %v, filled %v: fires %v", rule.UID, value, filled, fired)
			}
		}
		if seen != len(fires) {
			t.Errorf("%d rules", seen)
		}
	}
}
