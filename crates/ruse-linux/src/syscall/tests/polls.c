// poll and select: readiness, time-outs, masks, hostile arguments.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
static void nothing(int s) {}
static void polls(void){
  int p[2];
pipe(p);
struct pollfd f[3]={{p[0],POLLIN},{-1,POLLIN},{77,POLLIN}};
  CHECK(poll(f,2,0)==0);
CHECK(poll(f,3,0)==1 && f[2].revents==POLLNVAL);
  struct timespec a,b;
clock_gettime(CLOCK_MONOTONIC,&a);
CHECK(poll(f,1,50)==0);
clock_gettime(CLOCK_MONOTONIC,&b);
  long ms=(b.tv_sec-a.tv_sec)*1000+(b.tv_nsec-a.tv_nsec)/1000000;
CHECK(ms>=49&&ms<500);
  fd_set s;
FD_ZERO(&s);
FD_SET(p[0],&s);
struct timeval tv={0,1000};
CHECK(select(p[0]+1,&s,0,0,&tv)==0 && !FD_ISSET(p[0],&s));
  write(p[1],"x",1);
FD_SET(p[0],&s);
fd_set w;
FD_ZERO(&w);
FD_SET(p[1],&w);
CHECK(select(100,&s,&w,0,0)==2);
  CHECK(poll(f,1,-1)==1 && f[0].revents==POLLIN);
  close(p[1]);
CHECK(poll(f,1,-1)==1 && f[0].revents==(POLLIN|POLLHUP));
close(p[0]);
  FAILS(syscall(73,f,-1,0,0,8),EINVAL);
FAILS(syscall(73,(void*)16,2,0,0,8),EFAULT);
  FD_ZERO(&s);
FD_SET(50,&s);
FAILS(select(51,&s,0,0,&tv),EBADF);
  sigset_t m;
sigfillset(&m);
FAILS(syscall(73,0,0,0,&m,4),EINVAL);
  /* ppoll with mask */
  sigset_t blk,old;
sigemptyset(&blk);
sigaddset(&blk,SIGUSR1);
sigprocmask(SIG_BLOCK,&blk,&old);
  struct sigaction sa={.sa_handler=nothing};
sigaction(SIGUSR1,&sa,0);
raise(SIGUSR1);
  struct timespec t={1,0};
sigemptyset(&m);
FAILS(ppoll(0,0,&t,&m),EINTR);
sigprocmask(SIG_SETMASK,&old,0);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    polls();
    return 0;
}
