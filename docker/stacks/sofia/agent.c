/* A user agent on Sofia-SIP's nua, the stack of FreeSWITCH: one call, refreshed by the stack itself.
 *
 * agent --local ADDRESS --edge ADDRESS [--call USER] [--expires N] [--min-se N] [--refresher uac|uas]
 *       [--method update|invite] [--hold-after SECONDS]
 *
 * Without --call it answers. "ready" on standard output says that it listens.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/nua.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/soa.h>
#include <sofia-sip/su.h>
#include <sofia-sip/su_wait.h>

struct agent {
  su_root_t *root;
  nua_t *nua;
  nua_handle_t *call;
  const char *local, *edge, *user;
  unsigned expires, min_se, hold_after;
  enum nua_session_refresher refresher;
  int update;
  char media[200];
};

static void hold(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
  struct agent *agent = (struct agent *)arg;
  (void)magic;
  su_timer_destroy(timer);
  printf("hold\n");
  nua_invite(agent->call, SOATAG_HOLD("*"), TAG_END());
}

static void established(struct agent *agent)
{
  if (agent->hold_after) {
    su_timer_t *timer = su_timer_create(su_root_task(agent->root), 0);
    su_timer_set_interval(timer, hold, (su_timer_arg_t *)agent, agent->hold_after * 1000);
    agent->hold_after = 0;
  }
}

static void on_event(nua_event_t event, int status, char const *phrase, nua_t *nua, nua_magic_t *magic,
                     nua_handle_t *handle, nua_hmagic_t *hmagic, sip_t const *sip, tagi_t tags[])
{
  struct agent *agent = (struct agent *)magic;
  (void)nua, (void)hmagic, (void)sip, (void)tags;
  printf("%s %d %s\n", nua_event_name(event), status, phrase);
  if (event == nua_i_invite && agent->call == NULL) {
    agent->call = nua_handle_ref(handle);
    nua_respond(handle, SIP_200_OK, SOATAG_USER_SDP_STR(agent->media), TAG_END());
  } else if (event == nua_i_active) {
    established(agent);
  } else if (event == nua_i_terminated) {
    nua_shutdown(agent->nua);
  } else if (event == nua_r_shutdown && status >= 200) {
    su_root_break(agent->root);
  }
}

static void read_arguments(struct agent *agent, int argc, char *argv[])
{
  static const struct option names[] = {
    {"local", 1, 0, 'l'}, {"edge", 1, 0, 'e'}, {"call", 1, 0, 'c'}, {"expires", 1, 0, 'x'}, {"min-se", 1, 0, 'n'},
    {"refresher", 1, 0, 'r'}, {"method", 1, 0, 'm'}, {"hold-after", 1, 0, 'h'}, {0, 0, 0, 0},
  };
  int which;
  while ((which = getopt_long(argc, argv, "", names, NULL)) != -1) {
    switch (which) {
    case 'l': agent->local = optarg; break;
    case 'e': agent->edge = optarg; break;
    case 'c': agent->user = optarg; break;
    case 'x': agent->expires = atoi(optarg); break;
    case 'n': agent->min_se = atoi(optarg); break;
    case 'h': agent->hold_after = atoi(optarg); break;
    case 'm': agent->update = strcmp(optarg, "update") == 0; break;
    case 'r':
      /* The stack thinks in ends, the command line in the roles of the initial INVITE. */
      agent->refresher = !strcmp(optarg, agent->user ? "uac" : "uas") ? nua_local_refresher : nua_remote_refresher;
      break;
    default: exit(2);
    }
  }
  if (!agent->local || !agent->edge) {
    fprintf(stderr, "agent: --local and --edge are needed\n");
    exit(2);
  }
}

int main(int argc, char *argv[])
{
  struct agent agent = {.expires = 90, .min_se = 90, .update = 1, .refresher = nua_no_refresher};
  char url[80], target[80];

  setvbuf(stdout, NULL, _IOLBF, 0);
  /* --call has to be known before --refresher is read. */
  read_arguments(&agent, argc, argv);
  optind = 1;
  read_arguments(&agent, argc, argv);
  snprintf(url, sizeof url, "sip:%s:5060;transport=udp", agent.local);
  snprintf(agent.media, sizeof agent.media, "v=0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n");

  su_init();
  agent.root = su_root_create(NULL);
  agent.nua = nua_create(agent.root, on_event, (nua_magic_t *)&agent, NUTAG_URL(url), NUTAG_AUTOANSWER(0),
                         NUTAG_SESSION_TIMER(agent.expires), NUTAG_MIN_SE(agent.min_se),
                         NUTAG_SESSION_REFRESHER(agent.refresher), NUTAG_UPDATE_REFRESH(agent.update),
                         SIPTAG_USER_AGENT_STR("sofia"), TAG_END());
  if (agent.nua == NULL) {
    fprintf(stderr, "agent: %s is not to be had\n", url);
    return 1;
  }
  printf("ready\n");
  if (agent.user) {
    snprintf(target, sizeof target, "sip:%s@%s", agent.user, agent.edge);
    agent.call = nua_handle(agent.nua, NULL, SIPTAG_TO_STR(target), TAG_END());
    nua_invite(agent.call, SOATAG_USER_SDP_STR(agent.media), TAG_END());
  }
  su_root_run(agent.root);
  nua_destroy(agent.nua);
  return 0;
}
