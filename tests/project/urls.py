"""HTTP paths."""

from django.urls import path

from . import views

urlpatterns = [
    path("api/tournaments/<int:tournament_id>/", views.tournament),
    path("api/tournaments/<int:tournament_id>/draft/<int:draft_id>/", views.draft),
    path("api/tournaments/<int:tournament_id>/publish/", views.publish),
    path("api/users/me/", views.Me.as_view()),
    path("api/fail/", views.fail),
    path("ping/", views.ping),
]
