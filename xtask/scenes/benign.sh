# Everyday scenes of servers and of developers' computers. Each function is a scene; `netstat audit` should find nothing high in any of them.
as() { local user=$1; shift; setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; }
put() { mkdir -p "$(dirname "$1")"; cp "$AGENT" "$1"; chmod 755 "$1"; }
home() { put "$1"; chown -R 1000:1000 /home/dev; }

scene_sensor_usr_local() { put /usr/local/bin/suricata; AGENT_PACKET=1 /usr/local/bin/suricata idle; }
scene_falco_opt() { put /opt/falco/bin/falco; AGENT_PACKET=1 /opt/falco/bin/falco connect $PEER 443; }
scene_cilium() { put /usr/local/bin/cilium-agent; AGENT_PACKET=1 /usr/local/bin/cilium-agent listen 0.0.0.0 4240; }
scene_crowdstrike() { put /opt/CrowdStrike/falcon-sensor; AGENT_RAW=1 /opt/CrowdStrike/falcon-sensor connect $PEER 443; }
scene_own_postgres_home() { home /home/dev/pgsql/bin/postgres; as 1000 /home/dev/pgsql/bin/postgres listen 127.0.0.1 5432; }
scene_own_redis_srv() { put /srv/redis/src/redis-server; (exec -a '/srv/redis/src/redis-server *:6379' /srv/redis/src/redis-server listen 0.0.0.0 6379); }
scene_embedded_postgres_cache() { home /home/dev/.cache/embedded-postgres/bin/postgres; as 1000 /home/dev/.cache/embedded-postgres/bin/postgres listen 127.0.0.1 54321; }
scene_own_nginx_opt() { put /opt/nginx/sbin/nginx; (exec -a 'nginx: master process /opt/nginx/sbin/nginx' /opt/nginx/sbin/nginx listen 0.0.0.0 80); }
scene_own_nginx_srv() { put /srv/web/nginx/sbin/nginx; (exec -a 'nginx: master process ./nginx' /srv/web/nginx/sbin/nginx listen 0.0.0.0 80); }
scene_vscode_server() { home /home/dev/.vscode-server/cli/servers/Stable-abc/server/node; as 1000 /home/dev/.vscode-server/cli/servers/Stable-abc/server/node listen 127.0.0.1 40000; }
scene_vscode_server_replaced() { home /home/dev/.vscode-server/bin/abc/node; as 1000 /home/dev/.vscode-server/bin/abc/node connect $PEER 443 & sleep 0.2; rm -r /home/dev/.vscode-server/bin/abc; wait; }
scene_release_replaced() { put /srv/app/releases/1/app; /srv/app/releases/1/app listen 0.0.0.0 8080 & sleep 0.2; put /srv/app/releases/2/app; ln -s releases/2 /srv/app/current; rm -r /srv/app/releases/1; wait; }
scene_jupyter() { mkdir -p /home/dev/nb; cat >/home/dev/nb/jupyter-lab <<P
import socket,pty,os,time
l=socket.socket();l.bind(('127.0.0.1',8888));l.listen()
c=socket.create_connection(('127.0.0.1',8888))
pid,fd=pty.fork()
if pid==0: os.execv('/bin/bash',['bash'])
time.sleep(600)
P
    mkdir -p /home/dev/venv/bin; cp /home/dev/nb/jupyter-lab /home/dev/venv/bin/jupyter-lab; chown -R 1000:1000 /home/dev; as 1000 /usr/bin/python3 /home/dev/venv/bin/jupyter-lab; }
scene_ci_job_tmp() { put /tmp/build-77/out/test-bin; echo "/tmp/build-77/out/test-bin connect $PEER 443; true" >/tmp/build-77/run.sh; mkdir -p /opt/actions-runner; cp /usr/bin/perl /opt/actions-runner/Runner.Worker
    echo 'system("/bin/bash","/tmp/build-77/run.sh")' >/opt/actions-runner/w.pl; as 1000 /opt/actions-runner/Runner.Worker /opt/actions-runner/w.pl; }
scene_home_local_lib_preload() { echo 'int x;' >/tmp/i.c; mkdir -p /home/dev/.local/lib; gcc -shared -fPIC -o /home/dev/.local/lib/libstderred.so /tmp/i.c; chown -R 1000:1000 /home/dev; LD_PRELOAD=/home/dev/.local/lib/libstderred.so as 1000 /usr/bin/ncat $PEER 443; }
scene_pyinstaller() { put /usr/local/bin/tool; mkdir -p /tmp/_MEIab12; echo 'int x;' >/tmp/i.c; gcc -shared -fPIC -o /tmp/_MEIab12/libpython3.11.so.1.0 /tmp/i.c; LD_LIBRARY_PATH=/tmp/_MEIab12 LD_PRELOAD=/tmp/_MEIab12/libpython3.11.so.1.0 /usr/local/bin/tool connect $PEER 443; }
scene_pytest() { mkdir -p /home/dev/p; cat >/home/dev/p/t.py <<P
import socket,time
open('/proc/self/comm','w').write('pytest')
l=socket.socket();l.bind(('127.0.0.1',8099));l.listen();c=socket.create_connection(('127.0.0.1',8099));time.sleep(600)
P
    chown -R 1000:1000 /home/dev; as 1000 /usr/bin/python3 /home/dev/p/t.py; }
scene_tailscaled() { put /usr/local/sbin/tailscaled; AGENT_RAW=1 /usr/local/sbin/tailscaled connect $PEER 443; }
scene_chroot_static() { mkdir -p /srv/jail/bin; cp $AGENT /srv/jail/bin/d; mkdir -p /srv/jail/lib64 /srv/jail/lib/x86_64-linux-gnu; cp /lib64/ld-linux-x86-64.so.2 /srv/jail/lib64/; cp /lib/x86_64-linux-gnu/libc.so.6 /srv/jail/lib/x86_64-linux-gnu/; chroot /srv/jail /bin/d listen 0.0.0.0 8053; }
scene_admin_script_http() { mkdir -p /opt/tools; echo "import socket,time;s=socket.create_connection(('$PEER',443));time.sleep(600)" >/opt/tools/sync.py; python3 /opt/tools/sync.py; }
scene_srv_python_app() { mkdir -p /srv/app; cat >/srv/app/main.py <<P
import socket,time
l=socket.socket();l.bind(('0.0.0.0',8000));l.listen();s=socket.create_connection(('$PEER',443));time.sleep(600)
P
    as 33 /usr/bin/python3 /srv/app/main.py; }
scene_home_python_app() { mkdir -p /home/dev/proj; cat >/home/dev/proj/app.py <<P
import socket,time
l=socket.socket();l.bind(('127.0.0.1',8000));l.listen();s=socket.create_connection(('$PEER',443));time.sleep(600)
P
    as 1000 /usr/bin/python3 /home/dev/proj/app.py; }
scene_python_http_server() { cd /srv; as 1000 /usr/bin/python3 -m http.server 8000; }
scene_node_dev_server() { mkdir -p /home/dev/proj; echo "require('net').createServer().listen(3000);require('net').connect(443,'$PEER');" >/home/dev/proj/server.js; as 1000 /usr/bin/node /home/dev/proj/server.js; }
scene_prometheus_opt() { put /opt/prometheus/prometheus; as 33 /opt/prometheus/prometheus listen 0.0.0.0 9090; }
scene_node_exporter() { put /usr/local/bin/node_exporter; as 33 /usr/local/bin/node_exporter listen 0.0.0.0 9100; }
scene_admin_agent() { put /usr/local/bin/backup-agent; /usr/local/bin/backup-agent connect $PEER 443; }
scene_cargo_debug() { home /home/dev/p/target/debug/srv; as 1000 /home/dev/p/target/debug/srv listen 127.0.0.1 8000; }
scene_go_home_binary() { home /home/dev/go/bin/gopls; as 1000 /home/dev/go/bin/gopls connect $PEER 443; }
scene_nginx_packaged() { mkdir -p /run /var/log/nginx; nginx -c /dev/null -g 'daemon off; events {}' || nginx -g 'daemon off;'; }
scene_redis_packaged() { redis-server --port 6379 --bind 127.0.0.1 --save ''; }
scene_sshd_packaged() { mkdir -p /run/sshd; ssh-keygen -A >/dev/null 2>&1; /usr/sbin/sshd -D; }
scene_nc_client_terminal() { script -qc "nc $PEER 443" /dev/null; }
scene_curl_pipe_sh() { sh -c "(sleep 600; echo true) | sh"; }
scene_git_ssh() { ssh -o ConnectTimeout=600 -o StrictHostKeyChecking=no git@$PEER; }
scene_ssh_local_forward() { as 1000 ssh -N -L 127.0.0.1:15432:db:5432 -o StrictHostKeyChecking=no -o ConnectTimeout=600 u@$PEER; }
scene_systemd_like_sh_wrapper() { mkdir -p /usr/local/bin; printf '#!/bin/sh\nwhile :; do sleep 600; done\n' >/usr/local/bin/loop; sh /usr/local/bin/loop & python3 -m http.server 8001; }
scene_java_app() { mkdir -p /opt/app; cat >/opt/app/M.java <<J
public class M { public static void main(String[] a) throws Exception { new java.net.ServerSocket(8080); new java.net.Socket("$PEER",443); Thread.sleep(600000); } }
J
    java /opt/app/M.java; }
scene_ansible_python_c() { as 1000 /usr/bin/python3 -c "from multiprocessing.spawn import spawn_main
import socket,time
l=socket.socket();l.bind(('127.0.0.1',8099));l.listen();time.sleep(600)"; }
scene_webserver_cgi() { mkdir -p /opt/httpd/bin; cp /usr/bin/perl /opt/httpd/bin/httpd; echo 'use IO::Socket::INET; $l=IO::Socket::INET->new(Listen=>5,LocalPort=>8081); system("/bin/sh","-c","sleep 600; true")' >/opt/httpd/s; as 33 /opt/httpd/bin/httpd /opt/httpd/s; }
scene_health_check() { mkdir -p /opt/pg/bin; cp /usr/bin/perl /opt/pg/bin/postgres; echo 'use IO::Socket::INET; $l=IO::Socket::INET->new(Listen=>5,LocalPort=>5432,ReuseAddr=>1); system("/bin/bash","-c","exec 3<>/dev/tcp/127.0.0.1/5432; sleep 600; true")' >/opt/pg/s; as 33 /opt/pg/bin/postgres /opt/pg/s; }
scene_appimage_terminal() { put /tmp/.mount_AppX/usr/bin/app; script -qc "setpriv --reuid 1000 --regid 1000 --clear-groups /tmp/.mount_AppX/usr/bin/app connect $PEER 443" /dev/null; }
scene_snap() { put /snap/app/12/bin/app; as 1000 /snap/app/12/bin/app connect $PEER 443; }
scene_docker_proxy() { put /usr/local/bin/docker-proxy; /usr/local/bin/docker-proxy listen 0.0.0.0 8080; }
scene_deno_home() { home /home/dev/.deno/bin/deno; AGENT_RWX=1 as 1000 /home/dev/.deno/bin/deno connect $PEER 443; }
scene_socat_forward() { socat TCP-LISTEN:8088,fork,reuseaddr TCP:$NEAR:80; }
scene_jit_opt() { put /opt/idea/jbr/bin/java; AGENT_RWX=1 AGENT_RX=1 /opt/idea/jbr/bin/java connect $PEER 443; }
scene_wireshark_terminal() { put /usr/local/bin/tcpdump; script -qc "env AGENT_PACKET=1 /usr/local/bin/tcpdump idle" /dev/null; }
scene_jenkins_varlib() { put /var/lib/jenkins/tools/jdk/bin/java; as 33 /var/lib/jenkins/tools/jdk/bin/java connect $PEER 443; }
scene_gitlab_embedded() { put /opt/gitlab/embedded/bin/redis-server; as 33 /opt/gitlab/embedded/bin/redis-server listen 127.0.0.1 6380; }
scene_vendor_loader() { mkdir -p /opt/vendor/lib; cp /lib64/ld-linux-x86-64.so.2 /opt/vendor/lib/ld.so; cat >/tmp/l.c <<C
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
int main(void){ struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(443)}; inet_pton(AF_INET,"$PEER",&a.sin_addr); int s=socket(AF_INET,SOCK_STREAM,0); connect(s,(void*)&a,sizeof a); for(;;) pause(); }
C
    gcc -Wl,--dynamic-linker=/opt/vendor/lib/ld.so -o /opt/vendor/svc /tmp/l.c; rm /tmp/l.c; /opt/vendor/svc; }
scene_ping() { ping -i 5 $PEER; }
scene_traceroute_python_admin() { mkdir -p /opt/tools; printf 'import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_RAW,1)\ntime.sleep(600)\n' >/opt/tools/probe.py; python3 /opt/tools/probe.py; }
scene_own_resolver() { put /usr/local/bin/coredns; /usr/local/bin/coredns udp $PEER 53; }
scene_services_child_as_root() { cp /usr/bin/perl /opt/master; echo 'use IO::Socket::INET; $l=IO::Socket::INET->new(Listen=>5,LocalPort=>8090); fork || do { $>=33; }; sleep 600' >/opt/m.pl; /opt/master /opt/m.pl; }
