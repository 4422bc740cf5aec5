/* A harmless program for the scenes: it opens what it is told to and sleeps.
   agent connect HOST PORT | listen HOST PORT | udp HOST PORT | idle, with AGENT_RWX, AGENT_RX, AGENT_COMM, AGENT_PACKET, AGENT_RAW=PROTOCOL,
   AGENT_STDIN_SOCKET in the environment, in front of what it does. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words) {
    char *value;
    if (getenv("AGENT_RWX"))
        memset(mmap(0, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 0xc3, 4096);
    if (getenv("AGENT_RX")) {
        char *code = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(code, 0xc3, 65536);
        mprotect(code, 65536, PROT_READ | PROT_EXEC);
    }
    if ((value = getenv("AGENT_COMM")))
        prctl(PR_SET_NAME, value);
    if (getenv("AGENT_PACKET"))
        socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    if ((value = getenv("AGENT_RAW")))
        socket(AF_INET, SOCK_RAW, atoi(value));
    if (count >= 4) {
        int udp = !strcmp(words[1], "udp");
        int one = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0), yes = 1;
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(words[3]))};
        inet_pton(AF_INET, words[2], &at.sin_addr);
        if (!strcmp(words[1], "listen")) {
            setsockopt(one, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
            if (bind(one, (void *)&at, sizeof at) || listen(one, 5))
                return perror("bind"), 1;
        } else if (connect(one, (void *)&at, sizeof at))
            return perror("connect"), 1;
        if (getenv("AGENT_STDIN_SOCKET"))
            dup2(one, 0), dup2(one, 1), dup2(one, 2);
    }
    for (;;)
        pause();
}
